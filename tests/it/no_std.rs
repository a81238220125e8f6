//! The core links no std.
//!
//! A static library with a panic handler of its own is built from the core crates. std brings a panic handler, too: were
//! it among what is linked, the compiler would find two (E0152).

use std::{fs, path::PathBuf, process::Output};

use crate::workspace::{CORE, cargo, root};

#[test]
fn the_core_builds_into_a_library_without_std() {
    let dependencies: String = CORE
        .iter()
        .map(|name| format!("{name} = {{ path = {:?} }}\n", root().join("crates").join(name)))
        .collect();
    let output = build("core_without_std", &dependencies, &CORE);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_dependency_that_links_std_would_be_found() {
    let links_std =
        generate("links_std", "", "pub fn now() -> std::time::Instant { std::time::Instant::now() }");
    let dependencies = format!("links_std = {{ path = {links_std:?} }}\n");
    let output = build("core_with_std", &dependencies, &["links_std"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("E0152"), "{errors}");
}

/// Builds a static library that has nothing but these dependencies, a panic handler and an allocator.
fn build(name: &str, dependencies: &str, linked: &[&str]) -> Output {
    let manifest = format!(
        "[lib]\ncrate-type = [\"staticlib\"]\n\
         [profile.dev]\npanic = \"abort\"\n\
         [dependencies]\n{dependencies}"
    );
    let uses: String = linked.iter().map(|name| format!("use {} as _;\n", name.replace('-', "_"))).collect();
    let folder = generate(name, &manifest, &format!("#![no_std]\n{uses}{RUNTIME}"));
    // The versions that the workspace is tested with; what it has, this build needs no network for.
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).expect("the lock file is copied");
    cargo()
        .args(["build", "--offline", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", scratch().join("target"))
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo can be run")
}

/// Writes a package of its own workspace, and answers its folder.
fn generate(name: &str, manifest: &str, lib: &str) -> PathBuf {
    let folder = scratch().join(name);
    fs::create_dir_all(folder.join("src")).expect("a folder for a generated package");
    let head = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n");
    let workspace = if manifest.is_empty() { "" } else { "[workspace]\n" };
    fs::write(folder.join("Cargo.toml"), format!("{head}{workspace}{manifest}")).expect("a manifest");
    fs::write(folder.join("src/lib.rs"), lib).expect("a source file");
    folder
}

fn scratch() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no_std")
}

/// What a program without std has to bring itself. It is linked, never run.
const RUNTIME: &str = r#"
extern crate alloc;

struct Nothing;

unsafe impl core::alloc::GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: core::alloc::Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: core::alloc::Layout) {}
}

#[global_allocator]
static ALLOCATOR: Nothing = Nothing;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
"#;
