//! Tests for any machine: pure code and the command line in a sealed folder.

mod config;
mod docs;
mod quadlet;
mod rooms;
mod stack;
