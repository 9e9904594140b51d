//! `stats`: what a container uses.
