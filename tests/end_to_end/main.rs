//! End to end: everything through the `prism` executable, with real archives, a real sandbox and real torch on the CPU.
//!
//! One executable, so that measured runs take turns ([`contest::turn`]): two at a time would disturb each other's budgets.
//! Isolation is `bwrap` where it works and `none`, asked for by name, where it does not; stderr says which.

mod audit;
mod bad_input;
mod cli;
mod contest;
mod corpus;
mod exact;
mod hostile;
mod isolation;
mod leaks;
mod limits;
mod measure;
mod outbox;
mod processes;
mod ranks;
mod resume;
mod shards;
mod submissions;
mod watch;
mod zips;
