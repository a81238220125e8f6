//! What a well-behaved client and an application may rely on.

mod broadcast;
mod extraction;
mod handlers;
mod inbound;
mod lifecycle;
mod outbound;
mod publish;
