//! At which hook the tests judge what comes in, where they say nothing of it themselves: the same
//! tests run at each.

use std::env;

use sccm_agent::kernel::{Ingress, IngressAt};

/// The environment variable that names it, as `--hook` does; XDP without it.
pub const VARIABLE: &str = "SCCM_TEST_HOOK";

fn chosen() -> Ingress {
    let named = env::var(VARIABLE).unwrap_or_default();
    let hooks = [Ingress::Native, Ingress::Generic, Ingress::Tc];
    let hook = hooks.into_iter().find(|hook| hook.flag() == named);
    hook.unwrap_or(Ingress::Native)
}

/// What `--hook` calls it.
#[must_use]
pub fn flag() -> &'static str {
    chosen().flag()
}

/// What `status` calls it.
#[must_use]
pub fn mode() -> &'static str {
    chosen().label()
}

/// Which program runs there.
#[must_use]
pub fn program() -> IngressAt {
    match chosen() {
        Ingress::Native | Ingress::Generic => IngressAt::Xdp,
        Ingress::Tc => IngressAt::Tc,
    }
}
