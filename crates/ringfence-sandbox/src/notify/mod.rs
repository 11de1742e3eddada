//! Acts that wait in the kernel for an answer.
