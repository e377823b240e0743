//! Operations on a running process: dead letters and rebuilds of projections.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use contracts::operations::v1 as proto;
use contracts::operations::v1::operations_service_server::OperationsService;
use tonic::{Request, Response, Status};

use crate::bus::Handler;
use crate::context::Running;
use crate::db::{Database, Durability, Unit};
use crate::dead_letters::{self, DeadLetter};
use crate::error::Error;
use crate::fields::Fields;
use crate::ids::{Id, Kind};
use crate::projection::Rebuild;

/// Dead letters replayed or dropped in one transaction.
const AT_ONCE: i64 = 256;

/// Operations on the contexts of this process.
#[derive(Clone)]
pub struct Operations(Arc<BTreeMap<&'static str, ContextOperations>>);

#[derive(Clone)]
struct ContextOperations {
    database: Database,
    handler: Arc<dyn Handler>,
    rebuild: Option<Arc<dyn Rebuild>>,
}

enum EventKind {}
impl Kind for EventKind {
    const NAME: &'static str = "event";
}

impl Operations {
    /// Operations on these contexts.
    pub fn of(contexts: &[Running]) -> Operations {
        let operations = |context: &Running| {
            let (database, handler, rebuild) = (&context.database, &context.handler, &context.rebuild);
            ContextOperations { database: database.clone(), handler: handler.clone(), rebuild: rebuild.clone() }
        };
        Operations(Arc::new(contexts.iter().map(|context| (context.name, operations(context))).collect()))
    }

    fn context(&self, name: &str) -> Result<&ContextOperations, Error> {
        self.0.get(name).ok_or_else(|| Error::not_found("context", name))
    }
}

impl ContextOperations {
    async fn dead_letters(&self, event: Option<Id<()>>, limit: i64) -> Result<Vec<DeadLetter>, Error> {
        dead_letters::list(self.database.reader().await?.tx(), event, limit).await
    }

    /// Deletes dead letters as they were read. One that failed again meanwhile stays.
    async fn drop(&self, dead_letters: &[DeadLetter]) -> Result<usize, Error> {
        let Some(latest) = dead_letters.iter().map(|letter| letter.dead_at).max() else { return Ok(0) };
        let ids: Vec<Id<()>> = dead_letters.iter().map(|letter| Id::new(letter.event.event_id)).collect();
        let unit: Unit<'static, usize> =
            Box::new(move |tx| Box::pin(async move { dead_letters::drop(tx, &ids, latest).await }));
        self.database.write(Durability::Full, unit).await
    }

    /// Handles dead letters again. Those that still can't be handled stay dead letters, with a later time.
    async fn replay(&self, event: Option<Id<()>>) -> Result<i64, Error> {
        let mut left = dead_letters::count(self.database.reader().await?.tx()).await?;
        let mut replayed = 0;
        while left > 0 {
            let dead_letters = self.dead_letters(event, AT_ONCE.min(left)).await?;
            if dead_letters.is_empty() {
                break;
            }
            left -= dead_letters.len() as i64;
            replayed += dead_letters.len() as i64;
            // They are deleted after they were handled: after a crash in between they are handled again, which the
            // idempotency keys make harmless.
            let events = dead_letters.iter().map(|letter| letter.event.clone()).collect();
            self.handler.handle(events).await.map_err(|_| Error::Stopping)?;
            self.handler.flush(Duration::ZERO).await?;
            self.drop(&dead_letters).await?;
        }
        Ok(replayed)
    }
}

fn event_id(text: &str) -> Result<Option<Id<()>>, Error> {
    let mut fields = Fields::new();
    let id = fields.optional_id::<EventKind>("event_id", text);
    Ok(fields.finish(id)?.map(|id| Id::new(id.uuid())))
}

#[tonic::async_trait]
impl OperationsService for Operations {
    async fn list_dead_letters(
        &self,
        request: Request<proto::ListDeadLettersRequest>,
    ) -> Result<Response<proto::ListDeadLettersResponse>, Status> {
        let request = request.into_inner();
        let mut fields = Fields::new();
        let sizes = "must be 1 to 1000, or 0 for 100";
        let size = match request.page_size {
            0 => Ok(100),
            size @ 1..=1000 => Ok(i64::from(size)),
            _ => Err(sizes),
        };
        let size = fields.take("page_size", size);
        let size = fields.finish(size)?;
        let context = self.context(&request.context)?;
        let dead_letters = context.dead_letters(None, size).await?;
        let total_size = dead_letters::count(context.database.reader().await?.tx()).await?;
        let dead_letters = dead_letters.into_iter().map(|DeadLetter { event, reason, dead_at }| proto::DeadLetter {
            event_id: event.event_id.to_string(),
            r#type: event.kind,
            flow_id: event.correlation_id.to_string(),
            reason,
            dead_time: Some(dead_at.to_proto()),
        });
        Ok(Response::new(proto::ListDeadLettersResponse { dead_letters: dead_letters.collect(), total_size }))
    }

    async fn replay_dead_letters(
        &self,
        request: Request<proto::ReplayDeadLettersRequest>,
    ) -> Result<Response<proto::ReplayDeadLettersResponse>, Status> {
        let request = request.into_inner();
        let event = event_id(&request.event_id)?;
        let context = self.context(&request.context)?.clone();
        let replayed = tokio::spawn(async move { context.replay(event).await }).await;
        let replayed_count = replayed.map_err(|error| Error::Internal(error.to_string()))??;
        Ok(Response::new(proto::ReplayDeadLettersResponse { replayed_count }))
    }

    async fn drop_dead_letters(
        &self,
        request: Request<proto::DropDeadLettersRequest>,
    ) -> Result<Response<proto::DropDeadLettersResponse>, Status> {
        let request = request.into_inner();
        let event = event_id(&request.event_id)?;
        let context = self.context(&request.context)?;
        let mut dropped_count = 0;
        loop {
            let dead_letters = context.dead_letters(event, AT_ONCE).await?;
            dropped_count += context.drop(&dead_letters).await? as i64;
            if dead_letters.len() < AT_ONCE as usize {
                return Ok(Response::new(proto::DropDeadLettersResponse { dropped_count }));
            }
        }
    }

    async fn rebuild_view(
        &self,
        request: Request<proto::RebuildViewRequest>,
    ) -> Result<Response<proto::RebuildViewResponse>, Status> {
        let name = request.into_inner().context;
        let not_a_view =
            || Error::precondition("NOT_A_VIEW", format!("{name} has no projection that could be rebuilt from events"));
        let rebuild = self.context(&name)?.rebuild.as_ref().ok_or_else(not_a_view)?;
        // It runs to its end even if the caller goes away: a half-built projection is worse than an old one.
        let rebuild = rebuild.clone();
        let rebuilt = tokio::spawn(async move { rebuild.rebuild().await }).await;
        let event_count = rebuilt.map_err(|error| Error::Internal(error.to_string()))??;
        Ok(Response::new(proto::RebuildViewResponse { event_count }))
    }
}
