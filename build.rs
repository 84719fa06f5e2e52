//! Tells cargo which folders are inside the binary, so that a new file in one of them is taken in. Builds nothing.

fn main() {
    for path in ["site.yml", "roles", "templates", "inventories"] {
        println!("cargo:rerun-if-changed={path}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
