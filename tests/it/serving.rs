//! A server that starts and stops.

use std::time::Duration;

use crate::on_both_databases;

on_both_databases! {
    async fn a_server_that_is_told_to_stop_ends(app: TestApp) {
        let serving = marmalade::serve::serve(app.app.clone(), async {});
        let served = tokio::time::timeout(Duration::from_secs(30), serving).await.expect("an end");
        assert!(served.is_ok());
    }
}
