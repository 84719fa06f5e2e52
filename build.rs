//! Tells cargo which folders are inside the binary, so that a new file in one of them is taken in. Builds nothing.

const EMBEDDED: [&str; 4] = ["site.yml", "roles", "templates", "inventories"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // A path that is not there would make cargo build anew every time.
    for path in EMBEDDED
        .iter()
        .filter(|path| std::path::Path::new(path).exists())
    {
        println!("cargo:rerun-if-changed={path}");
    }
}
