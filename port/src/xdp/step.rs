//! What can fail when an interface becomes a port, as the end of "cannot ...".

pub(crate) const MAP: &str = "map the memory of AF_XDP ports";
pub(crate) const SHARE: &str = "get a share of the memory of AF_XDP ports";
pub(crate) const OPEN: &str = "open an AF_XDP socket";
pub(crate) const REGISTER: &str = "register the memory of AF_XDP ports";
pub(crate) const RINGS: &str = "make the rings of an AF_XDP socket";
pub(crate) const BIND: &str = "bind an AF_XDP socket";
pub(crate) const LOAD: &str = "load an XDP program";
pub(crate) const NATIVE: &str = "attach an XDP program in native mode";
pub(crate) const GENERIC: &str = "attach an XDP program in generic mode";
pub(crate) const CLAIM: &str = "send its frames to an AF_XDP socket";
pub(crate) const PROMISCUOUS: &str = "receive frames for other stations";
