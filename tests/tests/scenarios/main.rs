//! Scenarios on network namespaces, one file a topic. They run in parallel in one program; each has a
//! lab of its own. All need root, the packages of `.ci/setup` and the built programs: `make test`.
#![forbid(unsafe_code)]

mod harness;
