/**
 * The client of Nadeuri.
 *
 * <p>{@link nadeuri.Nadeuri#connect} gives a channel; every stub generated from the contracts works over it, with request ids,
 * deadlines, retries and typed errors. {@link nadeuri.Nadeuri#items} walks through pages, {@link nadeuri.Nadeuri#watch}
 * follows the events.
 */
package nadeuri;
