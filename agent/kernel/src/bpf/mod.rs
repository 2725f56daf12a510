//! The kernel's side of the datapath: programs, maps, pins, attachments. Knows nothing of Kubernetes or CNI.
//!
//! ```text
//! pins ──▶ load (checks the layout of what is pinned) ──▶ Programs ──▶ attach
//!                                                    └──▶ EndpointMaps, RemoteMaps, policy and service maps, FlowTable, Events, Metrics
//! ```

mod absent;
pub mod attach;
mod batch;
mod btf;
pub mod carry;
pub mod cgroup;
pub mod devices;
pub mod dump;
pub mod endpoint_maps;
pub mod error;
pub mod events;
mod filters;
pub mod flow_table;
pub mod globals;
pub mod hook;
pub mod load;
pub mod memlock;
pub mod metrics;
pub mod mode;
mod object;
mod owner_maps;
pub mod pins;
mod place;
pub mod policy_maps;
pub mod remote_maps;
mod roles;
pub mod room;
pub mod service_maps;
pub mod socket_maps;
pub mod sys;

pub use attach::Programs;
pub use endpoint_maps::EndpointMaps;
pub use error::{AttachError, LoadError};
pub use events::Events;
pub use flow_table::FlowTable;
pub use globals::{Globals, Settings, Timeouts};
pub use hook::Direction;
pub use load::{Loaded, load};
pub use metrics::Metrics;
pub use mode::{Attach, has_tcx};
pub use owner_maps::OwnerMaps;
pub use pins::{Pins, PinsError};
pub use policy_maps::PolicyMaps;
pub use remote_maps::RemoteMaps;
pub use service_maps::ServiceMaps;
pub use socket_maps::Held;
pub use sys::{accepts_set_retval, tells_mptcp};
