//! The bytes a meter and the head-end exchange, and the topics they travel on.
