//go:build race

package milter

// hostileShare is how many times smaller the largest messages are under the race
// detector, which makes the daemon about ten times slower.
const hostileShare = 16
