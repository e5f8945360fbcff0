//! `podwait demo`: in builds with the feature `demo` only, since it needs the simulated cluster.

#[cfg(feature = "demo")]
mod scenes;

#[cfg(feature = "demo")]
pub(crate) use scenes::run;

#[cfg(not(feature = "demo"))]
pub(crate) async fn run() -> Result<std::process::ExitCode, crate::status::Complaint> {
    const SENTENCE: &str = "this podwait was built without the simulated cluster of the demo: in its source, try \
        cargo run -p podwait-cli --features demo -- demo";
    Err(crate::status::Complaint::new(crate::status::Status::Usage, SENTENCE))
}

#[cfg(all(test, not(feature = "demo")))]
mod tests {
    #[tokio::test]
    async fn without_the_feature_the_error_names_the_command_to_build_it() {
        let complaint = super::run().await.expect_err("no simulated cluster");
        assert!(complaint.to_string().contains("--features demo -- demo"), "{complaint}");
    }
}
