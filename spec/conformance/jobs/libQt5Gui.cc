#include "plugin.h"

#include <QFontDatabase>
#include <QGuiApplication>
#include <QImage>
#include <QImageReader>
#include <QPainter>
#include <QPainterPath>
#include <QTextDocument>

static int pixels(const QImage &image, QRgb colour)
{
    int count = 0;
    for (int y = 0; y < image.height(); y++)
        for (int x = 0; x < image.width(); x++)
            count += image.pixel(x, y) == colour;
    return count;
}

static QImage painted()
{
    QImage image(400, 300, QImage::Format_ARGB32);
    image.fill(Qt::white);
    QPainter painter(&image);
    painter.fillRect(10, 10, 100, 50, QColor(32, 96, 192));

    QPainterPath ring;
    ring.addEllipse(QPointF(200, 100), 50, 50);
    ring.addEllipse(QPointF(200, 100), 25, 25);
    painter.fillPath(ring, QColor(192, 64, 32));

    QLinearGradient gradient(0, 0, 400, 0);
    gradient.setColorAt(0, Qt::black);
    gradient.setColorAt(1, Qt::white);
    painter.fillRect(0, 200, 400, 20, gradient);

    painter.setRenderHint(QPainter::Antialiasing);
    painter.translate(330, 100);
    painter.rotate(45);
    painter.fillRect(-20, -20, 40, 40, QColor(0, 128, 0));
    painter.resetTransform();

    painter.setFont(QFont("DejaVu Sans", 24));
    painter.drawText(10, 280, QString::fromUtf8("plugin \u03b1\u03b2\u03b3"));
    return image;
}

static void check_image(const QImage &image)
{
    check(image.size() == QSize(400, 300), "its size");
    check(pixels(image, qRgb(32, 96, 192)) == 100 * 50, "a rectangle");
    int ring = pixels(image, qRgb(192, 64, 32));
    check(ring > 5800 && ring < 5980, "a ring"); // pi * (50^2 - 25^2) = 5890
    check(image.pixel(200, 100) == qRgb(255, 255, 255), "the ring's hole");
    check(image.pixel(330, 76) == qRgb(0, 128, 0), "a turned square");
    int left = qRed(image.pixel(100, 210));
    int right = qRed(image.pixel(300, 210));
    check(qAbs(left - 64) < 4 && qAbs(right - 191) < 4, "a gradient");
    int dark = 0;
    for (int y = 240; y < 300; y++)
        for (int x = 0; x < 400; x++)
            dark += qGray(image.pixel(x, y)) < 100;
    check(dark > 300 && dark < 10000, "a line of text");
}

static std::string run(const std::string &folder)
{
    int count = 1;
    char name[] = "work", *words[] = { name, nullptr };
    QGuiApplication application(count, words);
    check(application.platformName() == "offscreen", "another platform");
    check(!QFontDatabase().families().isEmpty(), "there are no fonts");

    QImage image = painted();
    check_image(image);
    QString stem = QString::fromStdString(folder) + "/image.";
    check(image.save(stem + "png"), "PNG is not written");
    check(QImage(stem + "png").convertToFormat(image.format()) == image,
          "PNG is not restored");
    check(QImageReader::supportedImageFormats().contains("jpeg"),
          "there is no plugin for JPEG");
    check(image.save(stem + "jpg", "jpeg", 95), "JPEG is not written");
    QImage lossy(stem + "jpg");
    QColor near(lossy.pixel(60, 35));
    check(qAbs(near.red() - 32) < 8 && qAbs(near.blue() - 192) < 8,
          "JPEG is not restored");

    QTextDocument document;
    document.setHtml("<h1>One</h1><p>two <b>three</b></p><ul><li>four</ul>");
    check(document.blockCount() == 3, "a document's blocks");
    check(document.toPlainText() == "One\ntwo three\nfour", "a document's text");
    check(document.size().height() > 50, "a document's height");
    return "400 x 300 pixels painted, as PNG and JPEG; a document laid out";
}
