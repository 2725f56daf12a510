//! What every suite needs: namespaces that go when dropped, an agent that answers as told, and a way to call the plugin.

pub mod agent;
pub mod netns;
pub mod node;
