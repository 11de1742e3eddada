//! The sandbox against programs that try to get around it.

mod notify;
