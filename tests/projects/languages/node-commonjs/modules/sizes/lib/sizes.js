module.exports = { fit: (width) => ({ width, height: Math.round((width * 2) / 3) }) };
