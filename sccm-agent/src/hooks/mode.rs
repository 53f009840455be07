//! How the operator lets the programs be attached.

use crate::kernel::TcOrder;
use crate::policy::{HookChoice, Hooks};

/// How the programs of a card are attached.
#[derive(Debug, Clone, Default)]
pub struct How {
    /// By the flags: the hook of all cards but those that the policy names.
    pub hook: HookChoice,
    /// By the policy.
    pub by_card: Hooks,
    pub tc_order: TcOrder,
}

impl How {
    /// The same flags, with the hooks of this policy.
    #[must_use]
    pub fn with(&self, by_card: &Hooks) -> Self {
        Self {
            by_card: by_card.clone(),
            ..*self
        }
    }

    /// What the operator asks for the card of this name.
    #[must_use]
    pub fn of(&self, card: &str) -> HookChoice {
        self.by_card.get(card).copied().unwrap_or(self.hook)
    }
}
