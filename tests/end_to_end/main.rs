//! End to end: everything through the `prism` executable, with real archives, a real sandbox and real torch on the CPU.
//!
//! One executable, so that measured runs take turns ([`contest::turn`]): two at a time would disturb each other's budgets.
//! Isolation is `bwrap` where it works and `none`, asked for by name, where it does not; stderr says which.

mod archives;
mod arrivals;
mod audit;
mod bad_input;
mod checkpoints;
mod cli;
mod committed;
mod competitions;
mod contest;
mod corpus;
mod crash;
mod doctor;
mod duplicates;
mod escape;
mod exact;
mod gate;
mod hostile;
mod hostile_runner;
mod isolation;
mod leaks;
mod limits;
mod locked_corpus;
mod measure;
mod observability;
mod outbox;
mod past;
mod probe;
mod processes;
mod proven_corpus;
mod prune;
mod queue;
mod ranks;
mod rescore;
mod resources;
mod resume;
mod review;
mod shards;
mod snapshots;
mod stand_in;
mod submissions;
mod tokenizers;
mod uncertainty;
mod v1;
mod watch;
mod zips;
mod zoo;
