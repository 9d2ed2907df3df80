//! librdkafka's own mock cluster, which stands in for Kafka in the demonstration: no administration, no real transactions.

mod common;

use common::{S, World, frame, owns};
use contracts::topics::{ALL, READINGS};
use rdkafka::mocking::MockCluster;
use stream_processor::{Nobody, start};

#[tokio::test(flavor = "multi_thread")]
async fn the_mock_cluster_is_enough_for_the_demonstration() {
    let mock = MockCluster::new(1).unwrap();
    for topic in &ALL {
        mock.create_topic(topic.name, 4, 1).unwrap();
    }
    let mut world = World::at(mock.bootstrap_servers(), String::new()).await;
    let mut config = world.config("processor-1");
    config.topics.manage = false;
    let processor = start(config.clone(), std::sync::Arc::new(Nobody)).await.unwrap();
    owns(&processor, 4).await;
    let mut meter = world.meter("M1").await;
    meter.deliver(frame(S, 1, 3), S, 3).await;
    processor.shutdown().await.unwrap();

    // Between two batches a restart is safe here too.
    let processor = start(config, std::sync::Arc::new(Nobody)).await.unwrap();
    owns(&processor, 4).await;
    meter.deliver(frame(S, 2, 6), S, 6).await;
    assert_eq!(world.seqs(&meter, S).await, (1..=6).collect::<Vec<_>>());
    assert_eq!(world.rows(&READINGS).await.len(), 5);
    processor.shutdown().await.unwrap();
}
