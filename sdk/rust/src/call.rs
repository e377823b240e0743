//! A single call, without added request id, deadline or retries.

use contracts::{Streaming, Unary};
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codegen::{Body as HttpBody, Bytes, StdError};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// The transport of calls: a [`tonic::transport::Channel`], or any service around one.
pub trait Transport:
    GrpcService<
        Body,
        Error: Into<StdError>,
        ResponseBody: HttpBody<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static,
    >
{
}

impl<T> Transport for T where
    T: GrpcService<
            Body,
            Error: Into<StdError>,
            ResponseBody: HttpBody<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static,
        >
{
}

/// Sends a request once.
///
/// # Errors
///
/// The status of the server, or a status that says why there is no response.
pub async fn call<M: Unary>(transport: impl Transport, request: Request<M>) -> Result<Response<M::Response>, Status> {
    let mut grpc = ready(transport).await?;
    grpc.unary(request, path::<M>(), ProstCodec::default()).await
}

/// Opens a stream once.
///
/// # Errors
///
/// The status with which the server refuses it, or a status that says why there is no response.
pub async fn open<M: Streaming>(
    transport: impl Transport,
    request: Request<M>,
) -> Result<tonic::Streaming<M::Response>, Status> {
    let mut grpc = ready(transport).await?;
    grpc.server_streaming(request, path::<M>(), ProstCodec::default()).await.map(Response::into_inner)
}

async fn ready<T: Transport>(transport: T) -> Result<Grpc<T>, Status> {
    let mut grpc = Grpc::new(transport);
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    Ok(grpc)
}

fn path<M: contracts::Request>() -> PathAndQuery {
    PathAndQuery::from_static(M::RPC.path)
}
