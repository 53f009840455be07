//! The policy compiler: from roles and settings to the tables in the kernel.
//!
//! It works wholly in memory and touches nothing. Every port gets the class of
//! what the whole catalog knows about it, so that a drop is named also where no
//! role of this host is concerned; the roles then decide which classes pass.

pub mod addresses;
mod allow;
mod compile;
mod native;
mod services;
mod target;

pub use allow::Allow;
pub use compile::{Compiled, Essential, Outbound, Request, compile};
pub use native::Native;
pub use services::{ServiceName, ServiceNames};
pub use target::Target;
