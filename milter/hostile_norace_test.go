//go:build !race

package milter

// hostileShare: the messages have the size that their names say.
const hostileShare = 1
