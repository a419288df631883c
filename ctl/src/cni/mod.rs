//! The CNI plugin: what a runtime says (environment and configuration), what is asked of vswitchd for it, and what the
//! runtime is answered, in the versions 0.3.0 to 1.1.0 of the specification. Not the attaching itself: that is the
//! daemon's. The program is `bin/vswitch-cni`.

mod call;
mod config;
mod error;
mod names;
mod result;
mod verbs;
mod version;
mod wishes;

pub use call::{Args, Call, Verb};
pub use config::{Attachment, Config, version_of};
pub use error::{
    CHANGED, CONFIG, CONFLICT, DECODE, ENVIRONMENT, Failure, INCOMPATIBLE, INPUT, LATER, NAMESPACE, UNAVAILABLE,
    UNSUPPORTED,
};
pub use verbs::run;
pub use version::{Version, supported};
pub use wishes::Wishes;
