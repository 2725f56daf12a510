//! The CNI plugin's parts that the agent and tests share: the API between plugin and agent, and the types of the CNI
//! specification.

pub mod api;
