"""What the audit trail keeps of a product."""

from serai.contexts.catalog.model.products import Product


def snapshot(product: Product) -> dict[str, object]:
    """What is kept in the audit trail of a product as it is: its variants by their SKUs."""
    return {
        "handle": product.handle,
        "title": product.title,
        "description": product.description,
        "status": product.status,
        "categories": product.categories,
        "facets": product.facets,
        "media": product.media,
        "version": product.version,
        "variants": {
            variant.sku: {
                "options": variant.options,
                "prices": variant.prices,
                "barcode": variant.barcode,
                "media": variant.media,
            }
            for variant in product.variants
        },
    }
