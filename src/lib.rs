//! PRISM measures untrusted learners honestly: zips in an inbox, prequential bits per byte in an outbox.
//!
//! A batch pipeline of rooms that data walks through in one direction; [`pipeline`] shows the order on one screen.

pub mod audit;
pub mod bundle;
pub mod config;
pub mod dataset;
pub mod digest;
pub mod doctor;
pub mod duplicates;
pub mod exit;
pub mod export;
pub mod families;
pub mod gate;
pub mod identity;
pub mod intake;
pub mod logging;
pub mod metrics;
pub mod outbox;
pub mod pipeline;
pub mod plot;
pub mod probe;
pub mod progress;
pub mod redacted;
pub mod referee;
pub mod review;
pub mod sandbox;
pub mod score;
pub mod signing;
pub mod submit;
