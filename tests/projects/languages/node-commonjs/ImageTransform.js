const sizes = require("sizes");

let width = parseInt(process.env.RESIZED_WIDTH, 10);
if (width < 1 || width > 1000) {
  width = 200;
}

exports.handle = async (event, context, callback) => {
  const key = event.queryStringParameters.key;
  const type = key.match(/\.([^.]*)$/);
  if (!type) {
    console.log("Could not determine the image type.");
    return;
  }
  return {
    statusCode: 201,
    body: JSON.stringify({ key: "resized-" + key, type: type[1].toLowerCase(), ...sizes.fit(width) }),
    headers: { "Content-Type": "application/json" },
  };
};
