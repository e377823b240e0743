/**
 * The client of Nadeuri.
 *
 * <p>{@link nadeuri.Nadeuri#connect} returns a channel. Every stub generated from the contracts works over it, with request
 * ids, deadlines, retries and typed errors. {@link nadeuri.Nadeuri#items} iterates over pages, {@link nadeuri.Nadeuri#watch}
 * follows the events.
 */
package nadeuri;
