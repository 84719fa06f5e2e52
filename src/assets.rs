//! The playbooks, roles, templates and inventories inside the binary, and the user's folder over them.
