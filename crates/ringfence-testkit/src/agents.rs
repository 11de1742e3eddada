//! The real agents that tests drive: where they are installed, how they are started.
