//! The gRPC API of products: parse, handle, answer.

use chassis::db::Database;
use chassis::runtime::Runtime;
use chassis::values::Money;
use chassis::{Call, Error, Fields, Loader, Page, Writer};
use contracts::product::v1::{self as proto, *};

use crate::domain::{Command, Listing, MAX_STOCK, Product, ProductId};
use crate::store;

/// Serves products.
#[derive(Clone)]
pub struct Service {
    /// Changes products.
    pub writer: Writer<Product>,
    /// Loads products.
    pub loader: Loader<ProductId, Product>,
    /// Lists products.
    pub database: Database,
    /// The clock and ids.
    pub runtime: Runtime,
}

/// A quantity of at least `least`.
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

impl Service {
    /// Refuses staff who don't own the product.
    async fn require_own(&self, call: &Call, id: ProductId) -> Result<(), Error> {
        let own = self.loader.get(id).await?.filter(|product| call.is_staff_of(&product.owner));
        own.map(drop).ok_or_else(|| Error::not_found("product", id))
    }
}

impl ProductApi for Service {
    type Call = Call;
    type Error = Error;

    async fn create_product(&self, call: Call, request: CreateProductRequest) -> Result<CreateProductResponse, Error> {
        let (listing, stock) = call.parse(|fields| {
            let product = fields.required("product", request.product);
            product.and_then(|product| listing(fields, &product))
        })?;
        let id = self.runtime.ids.mint(self.runtime.now());
        let owner = call.caller.subject().to_owned();
        let product = self.writer.handle(call.command(id, Command::Create(id, listing, stock, owner))).await?;
        Ok(CreateProductResponse { product: Some(product) })
    }

    async fn reprice_product(
        &self,
        call: Call,
        request: RepriceProductRequest,
    ) -> Result<RepriceProductResponse, Error> {
        let (id, price) = call.parse(|fields| {
            let id = fields.id("product_id", &request.product_id);
            (id, Money::price(fields, "price", request.price.as_ref()))
        })?;
        self.require_own(&call, id).await?;
        let product = self.writer.handle(call.command(id, Command::Reprice(price))).await?;
        Ok(RepriceProductResponse { product: Some(product) })
    }

    async fn transfer_product(
        &self,
        call: Call,
        request: TransferProductRequest,
    ) -> Result<TransferProductResponse, Error> {
        let (id, owner) = call.parse(|fields| {
            let id = fields.id("product_id", &request.product_id);
            (id, fields.subject("owner_id", &request.owner_id))
        })?;
        let product = self.writer.handle(call.command(id, Command::Transfer(owner))).await?;
        Ok(TransferProductResponse { product: Some(product) })
    }

    async fn add_stock(&self, call: Call, request: AddStockRequest) -> Result<AddStockResponse, Error> {
        let (id, quantity) = call.parse(|fields| {
            let id = fields.id("product_id", &request.product_id);
            (id, count(fields, "quantity", request.quantity, 1))
        })?;
        self.require_own(&call, id).await?;
        let product = self.writer.handle(call.command(id, Command::Add(quantity))).await?;
        Ok(AddStockResponse { product: Some(product) })
    }

    async fn get_product(&self, call: Call, request: GetProductRequest) -> Result<GetProductResponse, Error> {
        let id = call.parse(|fields| fields.id("product_id", &request.product_id))?;
        let product = self.loader.get(id).await?.ok_or_else(|| Error::not_found("product", id))?;
        Ok(GetProductResponse { product: Some((&product).into()) })
    }

    async fn list_products(&self, call: Call, request: ListProductsRequest) -> Result<ListProductsResponse, Error> {
        let filter: &[&[u8]] = &[b"products"];
        let page = call.parse(|fields| Page::parse(fields, request.page_size, &request.page_token, filter))?;
        let reader = self.database.reader().await?;
        let (products, next_page_token) = store::list(reader.tx(), &page).await?;
        Ok(ListProductsResponse { products, next_page_token })
    }
}
