//! Tests for any machine: pure code and the command line in a sealed folder.

mod quadlet;
mod stack;
