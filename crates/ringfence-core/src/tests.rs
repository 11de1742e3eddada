//! Tests of the nouns and of the gate.

mod forms;
mod gate;
mod http;
