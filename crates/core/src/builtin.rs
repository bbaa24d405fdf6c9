//! Functions that every server has. Each capability of the core is also a function, so that every
//! protocol that can call one reaches it.

use crate::function::Function;

mod stats;
mod system;
mod user;

pub(crate) fn functions() -> Vec<Function> {
    let mut all = system::functions();
    all.extend(user::functions());
    all.extend(stats::functions());
    all
}
