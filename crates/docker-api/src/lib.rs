//! wharf-docker-api
