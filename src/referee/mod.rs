//! The referee: owns the text, the order, the clock and every loss; believes nothing that the sandbox says.
//!
//! [`session::measure`] runs one submission through its three processes (twin, training, held-out) and returns what was
//! measured. The loss itself is behind [`loss::Loss`], so that everything else builds and is tested without libtorch.

pub mod author_lines;
pub mod blind;
pub mod causality;
pub mod checkpoint;
pub mod committed;
pub mod connection;
pub mod diagnostics;
pub mod events;
pub mod geometry;
pub mod handshake;
pub mod head_start;
pub mod journal;
pub mod launch;
pub mod loss;
pub mod measured;
pub mod past;
pub mod patience;
pub mod phases;
pub mod plan;
mod raised;
pub mod reference;
pub mod runner_files;
pub mod saved_weights;
pub mod session;
pub mod shm;
pub mod snapshot;
mod sources;
pub mod step;
pub mod stop;
pub mod structure;
pub mod surprise;
pub mod texts;
pub mod transport;
pub mod v1_outcome;
pub mod wire;
#[cfg(test)]
mod wire_fuzz;
