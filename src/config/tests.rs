use super::*;

fn with(environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(
        None,
        environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
    )
}

#[test]
fn the_environment_lies_over_the_defaults() {
    let config = with(&[
        ("PRISM_BUDGET_BYTES", "5"),
        ("PRISM_HELD_OUT_VAL_BYTES", "7"),
        ("PRISM_SANDBOX_ISOLATION", "none"),
        ("PRISM_INBOX", "/somewhere"),
        ("HOME", "/root"),
    ])
    .unwrap();
    assert_eq!(config.budget.bytes, 5);
    assert_eq!(config.held_out.val_bytes, 7);
    assert_eq!(config.sandbox.isolation, Isolation::None);
    assert_eq!(config.inbox, Path::new("/somewhere"));
    assert_eq!(config.budget.wall_clock_s, Budget::default().wall_clock_s);
}

#[test]
fn slips_are_errors() {
    assert!(matches!(
        with(&[("PRISM_BUGDET_BYTES", "5")]),
        Err(ConfigError::Environment { .. })
    ));
    assert!(matches!(
        with(&[("PRISM_BUDGET_BYTES", "many")]),
        Err(ConfigError::Parse { .. })
    ));
    assert!(matches!(
        with(&[("PRISM_RUN_WORLD_SIZE", "9")]),
        Err(ConfigError::Range { .. })
    ));
    assert!(matches!(
        with(&[("PRISM_BUDGET", "5")]),
        Err(ConfigError::Environment { .. })
    ));
}

#[test]
fn the_first_of_several_seeds_is_the_run_s_own() {
    let config = with(&[("PRISM_CONTEST_SEEDS", "[7, 8]")]).unwrap();
    assert_eq!((config.contest.seed, config.contest.seeds), (7, vec![7, 8]));
    assert!(matches!(
        with(&[("PRISM_CONTEST_SEEDS", "[7, 7]")]),
        Err(ConfigError::Range { .. })
    ));
    assert!(matches!(
        with(&[("PRISM_QUARANTINE_FLOOR_BPB", "-1")]),
        Err(ConfigError::Range { .. })
    ));
}

#[test]
fn unknown_keys_in_the_file_are_errors() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "budget:\n  byts: 5\n").unwrap();
    let error = Config::load(Some(file.path()), std::iter::empty()).unwrap_err();
    assert!(error.to_string().contains("is not valid"), "{error}");
}

#[test]
fn an_empty_file_is_the_defaults() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(
        Config::load(Some(file.path()), std::iter::empty()).unwrap(),
        Config::default()
    );
}

#[test]
fn the_mode_of_the_first_contract_follows_the_device_unless_it_is_chosen() {
    let mut config = Config::default();
    assert_eq!(config.v1_mode().name(), "local_cpu_smoke");
    config.run.device = Device::Cuda;
    assert_eq!(config.v1_mode().name(), "gpu_proxy_eval");
    config.contest.v1_mode = Some(V1Mode::FullScaleEval);
    assert_eq!(config.v1_mode().name(), "full_scale_eval");
}
