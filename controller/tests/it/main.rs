//! credpin on directory clouds: plans, faults on the way, releases, the command line.

mod apply;
mod cli;
mod dir;
mod read_back;
mod release;
mod rig;
mod scenarios;
