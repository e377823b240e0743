-- The owners of products.
ALTER TABLE products ADD COLUMN owner text NOT NULL DEFAULT '';
