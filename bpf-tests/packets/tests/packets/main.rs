//! Every program through `BPF_PROG_TEST_RUN` with built packets: the verdict, the bytes that come out, the redirect's
//! target and the counter.
//!
//! Needs root and a kernel with BPF; without, every test fails and says so. Frames shorter than the kernel's test run
//! takes (34 bytes for IPv4, 54 for IPv6) are sent over real veths in the `netns` tests.

mod arp;
mod arrival;
mod carried;
mod chained;
mod decap;
mod encap;
mod errors;
mod events;
mod extensions;
mod flows;
mod frames;
mod from_netdev;
mod from_overlay;
mod from_pod;
mod loads;
mod nd;
mod policed;
mod recent;
mod run;
mod service;
mod shares;
mod steps;
mod table;
mod to_devices;
mod to_pod;
mod world;
