//! One server for the clients you already have.
