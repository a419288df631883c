//! The harness of the scenario tests and of `make demo`: hosts as network namespaces, real daemons,
//! real containers, real traffic. It drives the built programs only and links to none of their crates,
//! so a scenario sees what an operator sees.
//! Start at [`Lab`]; everything made from it cleans up when dropped.
#![forbid(unsafe_code)]

pub mod api;
pub mod cluster;
pub mod cni;
pub mod consul;
pub mod container;
pub mod docker;
pub mod edge;
pub mod exec;
pub mod host;
pub mod kernel_vtep;
pub mod lab;
pub mod netns;
pub mod outside;
pub mod pcap;
pub mod podman;
pub mod print;
pub mod programs;
pub mod sandbox;
pub mod stage;
pub mod traffic;
pub mod underlay;
pub mod vswitchd;
pub mod wait;

pub use cluster::{Cluster, Station};
pub use consul::Consul;
pub use container::{Container, Runtime};
pub use docker::Docker;
pub use edge::Edge;
pub use host::Host;
pub use kernel_vtep::KernelVtep;
pub use lab::{Lab, scenario};
pub use netns::{Netns, Place};
pub use outside::Outside;
pub use podman::Podman;
pub use sandbox::Sandbox;
pub use underlay::Underlay;
pub use vswitchd::Vswitchd;
