//! Tests for any machine: pure code and the command line in a sealed folder.

mod config;
mod docs;
mod rooms;
mod stack;
