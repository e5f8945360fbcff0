//! Tests of waits over bytes.
