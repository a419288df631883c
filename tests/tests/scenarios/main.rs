//! Scenarios on network namespaces, one file a topic. They run in parallel in one program; each has a
//! lab of its own. All need root, the packages of `.ci/setup` and the built programs: `make test`.
#![forbid(unsafe_code)]

mod api;
mod cni;
mod cni_crash;
mod crash;
mod dns;
mod dns_stream;
mod docker;
mod egress;
mod egress_ports;
mod filter;
mod filter_load;
mod flood;
mod gateway;
mod harness;
mod host_access;
mod hostile;
mod idle;
mod interop;
mod isolation;
mod local;
mod oci;
mod outage;
mod overlay;
mod publish;
mod rates;
mod rule;
mod runtimes;
mod scale;
mod store_rows;
mod systemd;
mod uplink_crash;
mod uplink_xdp;
mod vlan;
mod xdp;
