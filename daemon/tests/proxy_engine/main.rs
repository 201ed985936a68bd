//! The proxy against a stand-in upstream with a CA of its own, driven by raw and by real clients.

#[cfg(test)]
mod certificates;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod http2_and_websocket;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod names;
#[cfg(test)]
mod renewal;
#[cfg(test)]
mod streaming;
#[cfg(test)]
mod token;
#[cfg(test)]
mod upstreams;
