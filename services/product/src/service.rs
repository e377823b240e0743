//! The gRPC face of products: parse, handle, answer.

use chassis::db::Database;
use chassis::values::Money;
use chassis::runtime::Runtime;
use chassis::{Call, Error, Fields, Loader, Page, Writer, all};
use contracts::product::v1 as proto;
use contracts::product::v1::product_service_server::ProductService;
use tonic::{Request, Response, Status};

use crate::domain::{Command, Listing, MAX_STOCK, Product, ProductId};
use crate::store;

/// Serves products.
#[derive(Clone)]
pub struct Service {
    /// Changes products.
    pub writer: Writer<Product>,
    /// Finds products.
    pub loader: Loader<ProductId, proto::Product>,
    /// Lists products.
    pub database: Database,
    /// Time and chance.
    pub runtime: Runtime,
}

/// A number of things in stock, of at least `least`.
fn count(fields: &mut Fields, path: &str, count: i64, least: u64) -> Option<u64> {
    let parsed = u64::try_from(count).ok().filter(|count| (least..=MAX_STOCK).contains(count));
    fields.take(path, parsed.ok_or(format!("must be {least} to {MAX_STOCK}")))
}

fn listing(fields: &mut Fields, product: &proto::Product) -> Option<(Listing, u64)> {
    let name = fields.text("product.name", &product.name, 1..=100);
    let price = Money::price(fields, "product.price", product.price.as_ref());
    let stock = count(fields, "product.stock", product.stock, 0);
    Some((Listing { name: name?, price: price? }, stock?))
}

#[tonic::async_trait]
impl ProductService for Service {
    async fn create_product(
        &self,
        request: Request<proto::CreateProductRequest>,
    ) -> Result<Response<proto::CreateProductResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let product = fields.required("product", request.product).and_then(|product| listing(&mut fields, &product));
        let (key, (listing, stock)) = fields.finish(all!(key, product))?;
        let id = self.runtime.ids.mint(self.runtime.now());
        let product = self.writer.handle(call.command(id, Command::Create(id, listing, stock), key)).await?;
        Ok(Response::new(proto::CreateProductResponse { product: Some(product) }))
    }

    async fn reprice_product(
        &self,
        request: Request<proto::RepriceProductRequest>,
    ) -> Result<Response<proto::RepriceProductResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let id = fields.id("product_id", &request.product_id);
        let price = Money::price(&mut fields, "price", request.price.as_ref());
        let (key, id, price) = fields.finish(all!(key, id, price))?;
        let product = self.writer.handle(call.command(id, Command::Reprice(price), key)).await?;
        Ok(Response::new(proto::RepriceProductResponse { product: Some(product) }))
    }

    async fn add_stock(
        &self,
        request: Request<proto::AddStockRequest>,
    ) -> Result<Response<proto::AddStockResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let id = fields.id("product_id", &request.product_id);
        let quantity = count(&mut fields, "quantity", request.quantity, 1);
        let (key, id, quantity) = fields.finish(all!(key, id, quantity))?;
        let product = self.writer.handle(call.command(id, Command::Add(quantity), key)).await?;
        Ok(Response::new(proto::AddStockResponse { product: Some(product) }))
    }

    async fn get_product(
        &self,
        request: Request<proto::GetProductRequest>,
    ) -> Result<Response<proto::GetProductResponse>, Status> {
        let (_, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let id = fields.id("product_id", &request.product_id);
        let id = fields.finish(id)?;
        let product = self.loader.get(id).await?.ok_or_else(|| Error::not_found("product", id))?;
        Ok(Response::new(proto::GetProductResponse { product: Some(product) }))
    }

    async fn list_products(
        &self,
        request: Request<proto::ListProductsRequest>,
    ) -> Result<Response<proto::ListProductsResponse>, Status> {
        let (_, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let page = Page::parse(&mut fields, request.page_size, &request.page_token, &[b"products"]);
        let page = fields.finish(page)?;
        let reader = self.database.reader().await?;
        let (products, next_page_token) = store::list(reader.tx(), &page).await?;
        Ok(Response::new(proto::ListProductsResponse { products, next_page_token }))
    }
}
