//! Lets the measuring executable find libtorch where torch-sys linked it (the environment's torch package).

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Set by torch-sys for its direct dependents; absent when built without the `referee` feature.
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        // The link `.venv/torch` may move; the folder behind it does not.
        let folder =
            std::fs::canonicalize(&folder).map_or(folder, |path| path.display().to_string());
        println!("cargo:rustc-link-arg-bin=prism-referee=-Wl,-rpath,{folder}");
        check_version(&folder);
    }
}

/// tch 0.24 is generated for libtorch 2.11; another one compiles and then crashes.
fn check_version(lib: &str) {
    let file = std::path::Path::new(lib)
        .parent()
        .map(|torch| torch.join("version.py"));
    let Some(text) = file.and_then(|file| std::fs::read_to_string(file).ok()) else {
        return;
    };
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("__version__ = "))
        .unwrap_or("");
    let version = version.trim_matches(['\'', '"']);
    assert!(
        version.starts_with("2.11."),
        "torch {version} found beside {lib}, expected 2.11.x: run ./prism-dev build"
    );
}
