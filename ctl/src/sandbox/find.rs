//! Finding a link of the switch that somebody else has moved into a sandbox and named there: by its MAC address.

use std::io;

use wire::Mac;

use super::attach::refuse_advertisements;
use super::{Error, Netns, thread};

/// The name of the TAP with that MAC address in `netns`, if it is there. From then on its addresses and routes are nobody's
/// business but the switch's and the runtime's.
///
/// # Errors
/// [`Error::Link`] when the kernel refuses.
pub async fn find(netns: &Netns, mac: Mac) -> Result<Option<String>, Error> {
    let sandbox = netns.reference().path.display().to_string();
    thread::inside(netns, async move |inside| {
        let refused =
            |source: io::Error| Error::Link { ifname: "ethN".into(), sandbox, step: "list the links", source };
        let found = inside.find_mac(mac).await.map_err(refused)?;
        if let Some(ifname) = &found {
            refuse_advertisements(ifname);
        }
        Ok(found)
    })
    .await
}
